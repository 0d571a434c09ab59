"""What a person sees of a run in Prefect's list of runs: a name that tells what came out, tags, and a state by verdict.

    pets 7: PROMOTE 97.1%       Completed
    pets 7: HOLD 93.2%          Held: published, and waiting for a person
    pets: REJECT 71.0%          Rejected: nothing is published
    pets 7: nothing new         Completed

All are of the type COMPLETED, because the run itself did not fail: what waits for it goes on, and no alarm is raised.
"""

from prefect import get_client
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed, State

STATES = {"HOLD": "Held", "REJECT": "Rejected"}     # verdict -> name of the state
ENDINGS = ("Completed", *STATES.values(), "Failed", "Cancelled", "Crashed",
           "Nothing new", "Waiting", "Started", "Unreachable",         # of flows.new_data
           "Drifted", "As in test", "Too few images", "Quiet")         # of flows.watch: its verdicts
NOTHING_NEW = "nothing new"


def ended(model: str, result: dict, accuracy: float) -> State:
    """Name and tag the flow run in which this is called, and return the state that it ends in.

    Args:
        model: its name in the registry.
        result: what `flows.training.training` returns.
        accuracy: on the test images, 0 to 1.

    Returns:
        A completed state, whose data are `result`.
    """
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, name=headline(model, result, accuracy),
                               tags=sorted({*flow_run.tags, model, *_tags(result)})).raise_for_status()
    reasons = "; ".join(result.get("reasons", []))
    if "verdict" in result and not _is_known(result):
        emit("model.judged", model, {"run": headline(model, result, accuracy), "reasons": reasons})
    return Completed(name=_state(result), message=reasons or None, data=result)


def emit(event: str, model: str, payload: dict) -> None:
    """Emit an event for Prefect's automations, with the model as its resource, so that they can distinguish models."""
    emit_event(event, {"prefect.resource.id": f"graft.model.{model}", "prefect.resource.name": model}, payload=payload)


def headline(model: str, result: dict, accuracy: float) -> str:
    """A run's name: the model, the version if there is one, the verdict, the accuracy. See `ended`."""
    version = (result.get("published") or "").rpartition("@")[2]
    what = f"{model} {version}".rstrip()
    if _is_known(result):
        return f"{what}: {NOTHING_NEW}"
    return f"{what}: {result.get('verdict', 'not judged')} {accuracy:.1%}"


def _is_known(result: dict) -> bool:
    """Whether the model was published before this run: the gate holds it, but nobody has to decide anything."""
    return bool(result.get("published")) and result["verdict"] == "HOLD" and not result["is_new"]


def _state(result: dict) -> str:
    return "Completed" if _is_known(result) else STATES.get(result.get("verdict", ""), "Completed")


def _tags(result: dict) -> list[str]:
    if _is_known(result):
        return [NOTHING_NEW]
    return [result["verdict"]] if "verdict" in result else []
