"""Enabling, disabling, and what lives in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wasmtime import wat2wasm

from stellatune_plugins.errors import (
    AbilityNotFound,
    GuestTrap,
    HookFailed,
    InstanceDead,
    PluginNotInstalled,
    StoreFailed,
    UsageError,
    WorldMismatch,
)
from stellatune_plugins.executor import (
    Activate,
    Activated,
    CreateInstance,
    Deactivate,
    Deactivated,
    Environment,
    Failure,
    LocalExecutor,
    Status,
    StatusReport,
    activation_of,
    ask,
)
from stellatune_plugins.executor.messages import AbilityRef, ComponentRef, DspArguments
from stellatune_plugins.model import (
    AbilityKey,
    AbilityKind,
    AudioSpec,
    ComponentId,
    DisableReason,
    PluginId,
    SampleRate,
    TypeId,
)
from stellatune_plugins.observe.events import PluginDisabled, PluginEnabled, PluginFailed

SPEC = AudioSpec(SampleRate(48_000), 2)


def _status(stage: Any) -> StatusReport:
    return ask(stage.executor, Status(), StatusReport)


def test_enabling_is_an_event(stage: Any) -> None:
    """With version, number of components and time."""
    with stage.bus.recording() as events:
        stage.enable(components=("one", "two"))
    (enabled,) = [e for e in events if isinstance(e, PluginEnabled)]
    assert (enabled.plugin, enabled.version, enabled.components) == ("org.example.actor", "1.0.0", 2)
    assert enabled.seconds > 0


def test_enabling_twice_changes_nothing(stage: Any) -> None:
    """The second answer says that it took no time."""
    package = stage.enable()
    assert ask(stage.executor, activation_of(package), Activated).seconds == 0.0
    assert len(_status(stage).plugins) == 1


def test_another_version_must_wait(stage: Any) -> None:
    """Two versions of a plugin are never active together."""
    plan = activation_of(stage.enable())
    other = Activate(plugin=plan.plugin, version="2.0.0", root=plan.root, components=plan.components)
    with pytest.raises(UsageError, match=r"1\.0\.0 is active"):
        ask(stage.executor, other, Activated)


def test_the_first_instance_takes_the_waiting_cell(stage: Any) -> None:
    """One cell is made a component; it serves the first instance, and further ones get their own."""
    dsp = stage.dsp()
    assert _status(stage).plugins[0].standby == 1
    with dsp.create(SPEC), dsp.create(SPEC):
        (plugin,) = _status(stage).plugins
        assert (plugin.standby, plugin.instances) == (0, 2)
    assert _status(stage).plugins[0].instances == 0


def test_instances_share_nothing(stage: Any, block: Any) -> None:
    """Each has a component instance of its own, so the pool of four in the guest never fills."""
    dsp = stage.dsp()
    processors = [dsp.create(SPEC) for _ in range(9)]
    for gain, processor in enumerate(processors):
        processor.apply_config(f'{{"gain": {gain}}}')
    for gain, processor in enumerate(processors):
        np.testing.assert_array_equal(processor.process(block), block * gain)
    for processor in processors:
        processor.close()


def test_components_are_dispatched_by_their_ability(stage: Any) -> None:
    """The key names plugin, kind, type and component; any other is not found."""
    package = stage.enable(components=("one", "two"))
    keys = [key for key, _ in package.manifest.ability_keys()]
    assert [k.component_id for k in keys] == ["one", "two"]
    crossed = AbilityKey(keys[0].plugin_id, AbilityKind.DSP, keys[0].type_id, keys[1].component_id)
    with pytest.raises(AbilityNotFound) as caught:
        ask(stage.executor, CreateInstance(crossed, DspArguments(SPEC)), Activated)
    assert caught.value.component == "two"


def test_disabling_ends_everything(stage: Any, block: Any) -> None:
    """Instances are dead, the ability is gone, and one event says why."""
    dsp = stage.dsp()
    processor = dsp.create(SPEC)
    with stage.bus.recording() as events:
        reply = ask(stage.executor, Deactivate(dsp.ability.plugin_id, DisableReason.UNLOAD), Deactivated)
    assert (reply.forced, reply.failures) == (False, ())
    assert [(e.reason, e.forced) for e in events if isinstance(e, PluginDisabled)] == [("unload", False)]
    with pytest.raises(InstanceDead):
        processor.process(block)
    with pytest.raises(AbilityNotFound):
        dsp.create(SPEC)
    processor.close()
    assert _status(stage) == StatusReport((), ())


def test_disabling_what_is_not_active(stage: Any) -> None:
    """Says so."""
    with pytest.raises(PluginNotInstalled):
        ask(stage.executor, Deactivate(PluginId("org.nobody"), DisableReason.UNLOAD), Deactivated)


def test_a_disabled_plugin_can_come_back(stage: Any, block: Any) -> None:
    """Enable, disable, enable: a fresh start each time."""
    package = stage.enable()
    for _ in range(3):
        ask(stage.executor, Deactivate(package.id, DisableReason.RELOAD), Deactivated)
        ask(stage.executor, activation_of(package), Activated)


def test_closing_the_executor_shuts_plugins_down(stage: Any) -> None:
    """With the reason ``shutdown``; afterwards nothing can be enabled."""
    package = stage.enable()
    with stage.bus.recording() as events:
        stage.executor.close()
        stage.executor.close()
    assert [e.reason for e in events if isinstance(e, PluginDisabled)] == ["shutdown"]
    with pytest.raises(UsageError, match="closed"):
        ask(stage.executor, activation_of(package), Activated)


def test_activation_is_all_or_none(stage: Any) -> None:
    """Where the second component's hook fails, the first is disabled again: its own hook says so here."""
    parts = {"one": "on-disable:error", "two": "on-enable:trap"}
    with stage.bus.recording() as events, pytest.raises(HookFailed) as caught:
        stage.enable(components=("one", "two"), parts=parts)
    assert caught.value.component == "two"
    assert [e.operation for e in events if isinstance(e, PluginFailed)] == [
        "lifecycle.on-enable",
        "lifecycle.on-disable",
    ]
    assert _status(stage).plugins == ()
    key = AbilityKey(PluginId("org.example.actor"), AbilityKind.DSP, TypeId("actor-one"), ComponentId("one"))
    with pytest.raises(AbilityNotFound):
        ask(stage.executor, CreateInstance(key, DspArguments(SPEC)), Activated)


def test_a_world_must_be_the_declared_one(stage: Any) -> None:
    """A dsp component without the dsp exports is refused before any of its code runs."""
    with pytest.raises(WorldMismatch) as caught:
        stage.enable(wasm=bytes(wat2wasm("(component)")))
    assert caught.value.component == "main"
    assert caught.value.operation == "activate"


def test_worlds_that_are_not_run_are_left_out(stage: Any, install: Any) -> None:
    """A package with a world of later days and a dsp can be used for its dsp."""
    package = install()
    plan = activation_of(package)
    painter = ComponentRef(
        id=ComponentId("painter"),
        path="wasm/none.wasm",
        world="stellatune:plugin/painter-plugin@0.1.0",
        abilities=(AbilityRef(AbilityKind.DSP, TypeId("x")),),
    )
    mixed = Activate(plugin=plan.plugin, version=plan.version, root=plan.root, components=(painter, *plan.components))
    assert ask(stage.executor, mixed, Activated).components == 1


def test_a_package_with_nothing_to_run_is_no_use(stage: Any, install: Any) -> None:
    """And the error names its worlds."""
    plan = activation_of(install())
    painter = ComponentRef(id=ComponentId("p"), path="x", world="stellatune:plugin/painter-plugin@0.1.0", abilities=())
    with pytest.raises(AbilityNotFound, match="painter-plugin"):
        ask(
            stage.executor,
            Activate(plugin=plan.plugin, version=plan.version, root=plan.root, components=(painter,)),
            Activated,
        )


def test_code_that_was_changed_after_the_install_is_not_run(stage: Any, install: Any, actor: Any) -> None:
    """The receipt's sums are checked when the code is read."""
    package = install()
    (package.root / "wasm" / "main.wasm").chmod(0o644)
    (package.root / "wasm" / "main.wasm").write_bytes(actor("on-enable:trap"))
    with pytest.raises(StoreFailed, match="not what was installed"):
        ask(stage.executor, activation_of(package), Activated)


@pytest.mark.parametrize("path", ["../../other.wasm", "/etc/passwd", "plugin.json/../wasm/main.wasm"])
def test_only_files_of_the_package_are_read(stage: Any, install: Any, path: str) -> None:
    """A plan is a message, and its paths are not trusted."""
    plan = activation_of(install())
    (ref,) = plan.components
    stray = ComponentRef(id=ref.id, path=path, world=ref.world, abilities=ref.abilities)
    with pytest.raises(StoreFailed, match="no file"):
        ask(
            stage.executor,
            Activate(plugin=plan.plugin, version=plan.version, root=plan.root, components=(stray,)),
            Activated,
        )


def test_a_package_that_is_gone(stage: Any, install: Any, tmp_path: Path) -> None:
    """Uninstalled meanwhile, or replaced by another version."""
    plan = activation_of(install())
    nowhere = Activate(
        plugin=plan.plugin, version=plan.version, root=str(tmp_path / "none"), components=plan.components
    )
    newer = Activate(plugin=plan.plugin, version="9.0.0", root=plan.root, components=plan.components)
    for gone in (nowhere, newer):
        with pytest.raises(PluginNotInstalled):
            ask(stage.executor, gone, Activated)


def test_a_defect_of_the_host_is_an_answer(engine: Any, install: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception becomes a Failure, and is logged whole."""

    class Broken:
        def load_component(self, wasm: bytes, *, path: str, plugin: str | None = None) -> Any:
            raise ZeroDivisionError("oops")

    executor = LocalExecutor(Broken(), Environment(engine=engine))
    reply = executor.handle(activation_of(install()))
    assert isinstance(reply, Failure)
    assert reply.code == "internal"
    assert reply.cause is not None
    assert reply.cause.foreign == "ZeroDivisionError"
    assert "Traceback" in caplog.text


def test_an_instance_that_traps_in_create_is_not_counted(stage: Any) -> None:
    """Its number is not known to the executor."""
    dsp = stage.dsp("create:trap")
    with pytest.raises(GuestTrap):
        dsp.create(SPEC)
    assert _status(stage).instances == ()
