"""Joins each running node of AUTOTUNE's model with the written transformation that it runs.

Both trees are walked from the output down; what fits nowhere is shown under its running name. Works on
plain values and knows nothing of TensorFlow.
"""

from collections.abc import Mapping

from pipeprof.capture.probes.tfdata.running.stage_identity import (
    LATER,
    ROOT_PATH,
    Model,
    StageIdentity,
)
from pipeprof.capture.probes.tfdata.running.tree_matching import Match, TreeMatcher
from pipeprof.capture.probes.tfdata.written.transformations import (
    Note,
    Pipeline,
    Remark,
    Transformation,
    family_of,
    remark_text,
)
from pipeprof.recording.stage import StageKind, StageOwner

FIRST_PASS = "first pass, fills it"
LATER_PASSES = "later passes, read it"


# Remarks that only name whose something is.
_OWNERS: Mapping[Remark | None, StageOwner] = {
    Note.BY_KERAS: StageOwner.KERAS,
    Note.BY_TF_DATA: StageOwner.TF_DATA,
}


def align(
    pipeline: Pipeline, model: Model, known: Mapping[int, StageIdentity] | None = None
) -> Mapping[int, StageIdentity]:
    """Joins running nodes with written transformations.

    Args:
        pipeline: what was written.
        model: what runs.
        known: the answer for an earlier reading of the same iterator. It settles which of several
            alike inputs is still there after others have ended, and makes the call nearly free
            when nothing changed.

    Returns:
        The identity of every node that can be reached from the output, by id.
    """
    known = known or {}
    if known and all(node_id in known for node_id in model.nodes):
        return {node_id: known[node_id] for node_id in model.nodes}
    root = model.nodes[model.output]
    identities = {
        model.output: StageIdentity(
            path=ROOT_PATH,
            parent=None,
            stage=ROOT_PATH,
            name=root.name,
            kind=StageKind.TF_DATA,
            running=root.name,
        )
    }
    matcher = TreeMatcher(model, known)
    for child in root.inputs:
        try:
            plan = matcher.match(child, pipeline.output)
        except RecursionError:  # hundreds of transformations of which few fit
            plan = matcher.match(child, None)
        for match in plan.steps(model.output):
            identities[match.node_id] = _identify(match, model, identities[match.asked_by])
    return identities


def _identify(match: Match, model: Model, asked_by: StageIdentity) -> StageIdentity:
    running = model.nodes[match.node_id].name
    if not match.written:
        path = f"{asked_by.path}>{running.partition('/')[0]}"
        within = match.serves is not None and asked_by.path.startswith(match.serves)
        return StageIdentity(
            path=path,
            parent=asked_by.path,
            stage=asked_by.stage if within else match.serves or path,
            name=running,
            kind=StageKind.TF_DATA,
            running=running,
            owner=_OWNERS.get(match.remark, StageOwner.USER),
            remark=_words(match.remark),
        )
    # The innermost has the work and the function, unless it only serves the one around it.
    working = match.written[0 if match.written[-1].remark else -1]
    others = [part.name for part in match.written if part is not working and not part.remark]
    later = _only_reads(model, match.node_id)
    remarks = [
        _words(working.remark),
        *(f"runs fused with {name}" for name in others),
        LATER_PASSES if later else FIRST_PASS if family_of(running) == "cache" else None,
    ]
    path = f"{match.written[0].path}{LATER if later else ''}"
    return StageIdentity(
        path=path,
        parent=asked_by.path,
        stage=match.written[0].part_of or path,
        name=working.shown,
        kind=_kind(working),
        function=working.function,
        location=working.location,
        made_at=working.made_at,
        made_by=working.made_by,
        traits=tuple(dict.fromkeys(trait for part in match.written for trait in part.traits)),
        running=running,
        written=" → ".join(part.name for part in reversed(match.written)),
        fused=len(match.written) > 1,
        owner=_OWNERS.get(working.remark, StageOwner.USER),
        remark="; ".join(remark for remark in remarks if remark) or None,
        buffer_size=working.buffer_size,
    )


def _words(remark: Remark | None) -> str | None:
    """A remark in words; None where it only names whose something is."""
    return None if remark is None or remark in _OWNERS else remark_text(remark)


def _kind(working: Transformation) -> StageKind:
    if working.remote:
        return StageKind.TF_DATA_REMOTE
    return StageKind.TF_DATA_PYTHON if working.python else StageKind.TF_DATA


def _only_reads(model: Model, node_id: int) -> bool:
    """Whether a node is a full cache, which asks for no more data."""
    node = model.nodes[node_id]
    if family_of(node.name) != "cache" or len(node.inputs) != 1:
        return False
    inside = model.nodes[node.inputs[0]]
    return inside.name.startswith(node.name) and not inside.inputs
