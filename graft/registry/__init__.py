"""Published models that never change, on S3 or in a local folder, without a server.

    publish     a bundle becomes the next version of a model
    promote     an alias, such as `champion`, names a version from now on; `rollback` undoes that, `history` tells all
    pull        a version becomes a folder on this machine, every byte of it checked
    verify      finds whatever in a registry is not as it was written; `gc` removes what nobody needs any more

Everything rests on one promise of a store: `create` never replaces an object, and of two writers one succeeds.
`manifest` says what a version is, `log` what decides about aliases.

Against whom: a reader is safe from whatever happens to the network and to what is stored, and from an older state than
the last one it saw. Somebody who may write to the store can still publish and promote as anybody; and before a reader
has seen it, rewrite the newest entry of a log. Against that there are signatures (`signing`), and a bucket's own
policy: nobody needs the right to replace or to remove anything below `models/*/log/` and `models/*/versions/` but `gc`.
"""

from graft.registry.garbage import gc
from graft.registry.inspection import verify
from graft.registry.promotion import AliasMoved, history, promote, rollback, state_at
from graft.registry.publication import Published, publish
from graft.registry.retrieval import Pulled, pull

__all__ = ["AliasMoved", "Published", "Pulled", "gc", "history", "promote", "publish", "pull", "rollback", "state_at",
           "verify"]
