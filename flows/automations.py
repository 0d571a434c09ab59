"""Apply this project's automations to Prefect: `python -m flows.automations`.

    failed run        if one of our runs failed or crashed: notify
    stuck run         if a run sent no heartbeat for ten minutes: mark it as crashed, which frees its slot, and notify
    stale champion    if no version was promoted for a month: notify
    verdict           if the gate judged a new model: tell the verdict
    drift             if a model's answers in use have drifted from those to its test images: tell what has changed

Notifications go to GRAFT_WEBHOOK, an address that accepts `{"text": "…"}`, as Slack's and Mattermost's do. Applying
again changes only what differs; Prefect itself has no such command (PrefectHQ/prefect#18918).
"""

import json
import os
from datetime import timedelta
from urllib.parse import urlsplit

from prefect import get_client
from prefect.blocks.webhook import Webhook
from prefect.events.actions import CallWebhook, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

from flows import preflight
from flows.outcome import ENDINGS
from graft.errors import GraftError, reported

WEBHOOK_VARIABLE = "GRAFT_WEBHOOK"
BLOCK = "graft-notifications"
RUNS = {"prefect.resource.id": "prefect.flow-run.*"}
FLOWS = ["training", "stages", "batch-prediction", "watch", "new-data"]
OURS = {"prefect.resource.role": "flow", "prefect.resource.name": FLOWS}
HEARTBEAT = "prefect.flow-run.heartbeat"        # every 30 s to 3 minutes
ENDED = [f"prefect.flow-run.{state}" for state in ENDINGS]
STUCK_AFTER = timedelta(minutes=10)             # three heartbeats missed; Prefect's advice is 9 minutes or more
STALE_AFTER = timedelta(days=31)
RUN = "{{ flow.name }}/{{ flow_run.name }}"


def automations(webhook_id=None, stuck_after: timedelta = STUCK_AFTER,
                stale_after: timedelta = STALE_AFTER) -> list[AutomationCore]:
    """The automations to apply.

    Args:
        webhook_id: the block that sends notifications, see `apply_webhook`; None for no notifications.
        stuck_after: time without a heartbeat.
        stale_after: time without a promotion.
    """
    each = {"prefect.resource.id"}
    failed = EventTrigger(
        expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}, match=RUNS, match_related=OURS,
        posture=Posture.Reactive, threshold=1, for_each=each)
    stuck = EventTrigger(
        after={HEARTBEAT}, expect={HEARTBEAT, *ENDED}, match=RUNS, match_related=OURS,
        posture=Posture.Proactive, threshold=1, within=stuck_after, for_each=each)
    stale = EventTrigger(
        after={"model.promoted"}, expect={"model.promoted"}, match={"prefect.resource.id": "graft.model.*"},
        posture=Posture.Proactive, threshold=1, within=stale_after, for_each=each)
    judged, drifted = (
        EventTrigger(expect={event}, match={"prefect.resource.id": "graft.model.*"}, threshold=1,
                     posture=Posture.Reactive)
        for event in ("model.judged", "model.drifted"))
    crash = ChangeFlowRunState(state="CRASHED", name="Crashed", force=True,
                               message="no heartbeat: its process or its host is gone")

    def automation(name: str, description: str, trigger: EventTrigger, text: str, *first) -> AutomationCore:
        notify = [CallWebhook(block_document_id=webhook_id, payload=_payload(text))] if webhook_id else []
        return AutomationCore(name=f"graft: {name}", description=description, enabled=True, trigger=trigger,
                              actions=[*first, *notify] or [DoNothing()])

    return [
        automation("failed run", "Report a run that failed or crashed.", failed,
                   f"{RUN}: {{{{ flow_run.state.name }}}}: {{{{ flow_run.state.message }}}}"),
        automation("stuck run", "End a run whose process is gone.", stuck,
                   f"{RUN} sent no heartbeat for {stuck_after}: it is marked as crashed", crash),
        automation("stale champion", "Report a champion that nothing has replaced for a long time.", stale,
                   f"{{{{ event.resource.name }}}}: no version was promoted for {stale_after}"),
        automation("verdict", "Tell the gate's verdict on a new model.", judged,
                   "{{ event.payload.run }}: {{ event.payload.reasons }}"),
        automation("drift", "Tell that a model's answers in use have drifted.", drifted,
                   "{{ event.payload.model }}: {{ event.payload.changes }}"),
    ]


def apply(wanted: list[AutomationCore]) -> dict[str, str]:
    """Create missing automations, update those that differ, and delete repeated ones.

    Returns:
        name -> `created`, `updated` or `unchanged`.
    """
    done = {}
    with get_client(sync_client=True) as client:
        for automation in wanted:
            found = client.read_automations_by_name(automation.name)
            if not found:
                client.create_automation(automation)
            elif not _is_same(found[0], automation):
                client.update_automation(found[0].id, automation)
            for surplus in found[1:]:
                client.delete_automation(surplus.id)
            unchanged = found and len(found) == 1 and _is_same(found[0], automation)
            done[automation.name] = "unchanged" if unchanged else "updated" if found else "created"
    return done


def apply_webhook(address: str):
    """Store the address in a Prefect block, which encrypts it.

    Returns:
        The block's id.

    Raises:
        GraftError: if it is no HTTP address.
    """
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
        raise GraftError(f"{WEBHOOK_VARIABLE}: expected the address of a webhook, such as https://hooks.example.org/services/…")
    block = Webhook(method="POST", url=address, headers={"Content-Type": "application/json"})
    return block.save(BLOCK, overwrite=True)


def _payload(text: str) -> str:
    """JSON with `text`, a Prefect template; the inserted values may contain quotes and line breaks."""
    return json.dumps({"text": "@"}).replace('"@"', "{{ text | tojson }}").join(
        [f"{{% set text %}}{text}{{% endset %}}", ""])


def _is_same(found, wanted: AutomationCore) -> bool:
    """Whether the server's version has every wanted value; the server adds defaults for other fields."""
    there, here = found.model_dump(mode="json"), wanted.model_dump(mode="json")
    return all(_covers(there.get(key), value) for key, value in here.items())


def _covers(there, here) -> bool:
    if isinstance(here, dict) and isinstance(there, dict):
        return all(_covers(there.get(key), value) for key, value in here.items())
    if isinstance(here, list) and isinstance(there, list):
        return sorted(map(str, there)) == sorted(map(str, here)) or (
            len(there) == len(here) and all(map(_covers, there, here)))
    return there == here


def main() -> None:
    """Apply the automations and print what changed."""
    preflight.check_server()
    address = os.environ.get(WEBHOOK_VARIABLE)
    webhook_id = apply_webhook(address) if address else None
    for name, what in apply(automations(webhook_id)).items():
        print(f"{what:<10} {name}")
    if not address:
        print(f"no notifications are sent: {WEBHOOK_VARIABLE} is not set")


if __name__ == "__main__":
    with reported():
        main()
