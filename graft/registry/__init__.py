"""A registry: immutable published models on S3 or in a local folder, without a server.

    publish     make a bundle the next version of a model
    promote     let an alias, such as `champion`, name a version; `rollback` undoes that, `history` lists every change
    withdraw    keep a version from ever being promoted again by a flow
    pull        fetch a version into a folder on this machine and check every byte of it
    verify      find everything in a registry that is not as it was written; `gc` removes what is no longer needed

A registry relies on one guarantee of its store: `create` never replaces an object, so of two concurrent writers exactly
one succeeds. `manifest` defines a version; `log` defines which version an alias names.

Threat model: readers detect damage in the network and in the store, and states older than the last one they have seen.
Anyone with write access to the store can publish and promote under any name, and can rewrite the newest entry of a log
that a reader has not seen yet. Signatures (`signing`) and a bucket policy prevent that: only `gc` needs to replace or
remove objects below `models/*/log/` and `models/*/versions/`.
"""

from graft.registry.garbage import gc
from graft.registry.inspection import verify
from graft.registry.promotion import AliasMoved, history, promote, rollback, state_at
from graft.registry.publication import Published, publish
from graft.registry.retrieval import Pulled, pull
from graft.registry.withdrawal import find_taken_back, withdraw

__all__ = ["AliasMoved", "Published", "Pulled", "find_taken_back", "gc", "history", "promote", "publish", "pull",
           "rollback", "state_at", "verify", "withdraw"]
