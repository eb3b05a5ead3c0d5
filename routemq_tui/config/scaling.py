"""Whether a route's workers are scaled by the engine, and how: the checks that need several settings."""

from __future__ import annotations

from routemq_tui.config.model import Problem, ScalingConfig, ScalingPolicy
from routemq_tui.config.reader import Reader, Setting, Settings

_OF_A_POLICY = {
    ScalingPolicy.UTILISATION: ("target", "band", "drain"),
    ScalingPolicy.RATE: ("per_worker",),
}


def resolve_scaling(reader: Reader, written: Settings) -> ScalingConfig:
    """The table `scaling` of a route over that of the defaults; reports what contradicts itself."""
    values = {key: setting.value for key, setting in written.items()}
    if "policy" in values:
        values["policy"] = ScalingPolicy(values["policy"])
    scaling = ScalingConfig(**values)
    _check_band(reader, written, scaling)
    _check_cooldowns(reader, written, scaling)
    for policy, keys in _OF_A_POLICY.items():
        for key in keys:
            if key in written and policy is not scaling.policy:
                message = f'has no effect with policy = "{scaling.policy}"'
                reader.warnings.append(Problem(written[key].place, written[key].key, message))
    return scaling


def _check_band(reader: Reader, written: Settings, scaling: ScalingConfig) -> None:
    if scaling.target + scaling.band < 1:
        return
    blamed = written.get("band") or written["target"]
    message = f"target {scaling.target:g} and band {scaling.band:g} together are not below 1"
    reader.report(
        blamed.place, blamed.key, message, "no worker is busier than all of the time: none would be added"
    )


def _check_cooldowns(reader: Reader, written: Settings, scaling: ScalingConfig) -> None:
    blamed = written.get("cooldown") or written.get("cooldown_up") or written.get("interval")
    if blamed is None:
        return
    if scaling.cooldown < scaling.interval:
        message = f"cooldown {scaling.cooldown:g} s is shorter than the interval of {scaling.interval:g} s"
        reader.report(blamed.place, blamed.key, message, "what a change did is not known before")
    elif scaling.cooldown < scaling.rest_up:
        message = f"cooldown {scaling.cooldown:g} s is shorter than cooldown_up {scaling.rest_up:g} s"
        reader.report(blamed.place, blamed.key, message, "workers are added sooner than taken away")


def autoscales(reader: Reader, merged: Settings, own: Settings, counts: dict[str, int]) -> bool:
    """Whether the route asks for it; what its other settings make impossible is reported."""
    wanted = merged.get("autoscale")
    if wanted is None or not wanted.value:
        return False
    if "shared" in merged and not merged["shared"].value:
        if "autoscale" in own:
            reader.report(
                wanted.place,
                wanted.key,
                "found true with shared = false",
                "a route that is not shared has exactly one worker, so that order is kept",
            )
        return False
    _check_bounds(reader, wanted, merged, own, counts)
    return True


def _check_bounds(
    reader: Reader, wanted: Setting, merged: Settings, own: Settings, counts: dict[str, int]
) -> None:
    low, high = counts["min_workers"], counts["max_workers"]
    lowest = merged.get("min_workers")
    if lowest is not None and lowest.value < 1:
        reader.report(
            lowest.place,
            lowest.key,
            "found 0 with autoscale = true",
            "without a worker nothing would be seen that asks for one: at least 1",
        )
    elif max(low, 1) == high and "autoscale" in own:
        message = f"there is nothing to scale: min_workers and max_workers are both {high}"
        reader.report(wanted.place, wanted.key, message, "set max_workers above min_workers")
    elif "max_workers" not in merged:
        message = f"may start up to {high} workers of this route"
        reader.warnings.append(Problem(wanted.place, wanted.key, message, "set max_workers"))
