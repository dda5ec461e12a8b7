"""The audio pipeline: source, decoder, resampler, chain, sink."""

from stellatune_plugins.session.batch import run_batch
from stellatune_plugins.session.inputs import RankedDecoders, open_input
from stellatune_plugins.session.items import open_item
from stellatune_plugins.session.jobs import (
    BatchEvent,
    JobEvent,
    JobFailed,
    JobFinished,
    JobProgress,
    JobStarted,
    run_job,
)
from stellatune_plugins.session.plan import BatchPlan, plan_batch, plan_items, plan_playing
from stellatune_plugins.session.render import Progress, Tap, render
from stellatune_plugins.session.report import Levels, RenderFailure, RenderJob, RenderOptions, RenderReport
from stellatune_plugins.session.runtime import RenderRuntime, RuntimeSpec, build
from stellatune_plugins.session.stages import Chain, ChainFactory, IdentityChain

__all__ = [
    "BatchEvent",
    "BatchPlan",
    "Chain",
    "ChainFactory",
    "IdentityChain",
    "JobEvent",
    "JobFailed",
    "JobFinished",
    "JobProgress",
    "JobStarted",
    "Levels",
    "Progress",
    "RankedDecoders",
    "RenderFailure",
    "RenderJob",
    "RenderOptions",
    "RenderReport",
    "RenderRuntime",
    "RuntimeSpec",
    "Tap",
    "build",
    "open_input",
    "open_item",
    "plan_batch",
    "plan_items",
    "plan_playing",
    "render",
    "run_batch",
    "run_job",
]
