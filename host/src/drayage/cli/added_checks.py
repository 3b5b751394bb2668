"""Runs the checks that a deployment adds to ``drayage doctor``: functions that ``DRAYAGE_DOCTOR_CHECKS`` names."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from drayage.errors import SettingsError
from drayage.finding import Finding
from drayage.settings import DOCTOR_CHECKS_VARIABLE, ClientSettings


def run_added_checks(settings: ClientSettings) -> list[Finding]:
    """Run the checks that the settings name; a check that cannot be run becomes a bad finding.

    Args:
        settings: The client's settings; ``doctor_checks`` names the checks, which all get the settings.

    Returns:
        The findings, in the order of the names.
    """
    findings: list[Finding] = []
    for name in settings.doctor_checks:
        try:
            findings += _run(name, settings)
        except SettingsError as error:
            findings.append(Finding(f"check {name}", good=False, text=str(error)))
    return findings


def _run(name: str, settings: ClientSettings) -> list[Finding]:
    check = _load(name)
    try:
        findings = check(settings)
    except Exception as error:  # the check is the deployment's own code, and may raise anything
        raise SettingsError(
            f"{name}, which {DOCTOR_CHECKS_VARIABLE} names, failed ({type(error).__name__}: {error}). Correct the "
            f"function, or remove it from {DOCTOR_CHECKS_VARIABLE}."
        ) from error
    if not (isinstance(findings, list) and all(isinstance(found, Finding) for found in findings)):
        raise SettingsError(
            f"{name}, which {DOCTOR_CHECKS_VARIABLE} names, returned {findings!r}; expected a list of "
            f"drayage.Finding. Correct the function, or remove it from {DOCTOR_CHECKS_VARIABLE}."
        )
    return findings


def _load(name: str) -> Callable[[ClientSettings], Any]:
    module_name, separator, function_name = name.partition(":")
    if not (module_name and separator and function_name):
        raise SettingsError(
            f"{DOCTOR_CHECKS_VARIABLE} expects names of the form module:function, separated by commas, got {name!r}. "
            "Correct the name."
        )
    try:
        module = import_module(module_name)
    except Exception as error:  # importing a module may raise anything
        raise SettingsError(
            f"{DOCTOR_CHECKS_VARIABLE} names {name}, but the module {module_name} cannot be imported "
            f"({type(error).__name__}: {error}). Correct the name, or add the module's folder to PYTHONPATH."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise SettingsError(
            f"{DOCTOR_CHECKS_VARIABLE} names {name}, but the module {module_name} ({module.__file__}) has no function "
            f"{function_name}. Correct the name."
        )
    checked: Callable[[ClientSettings], Any] = function
    return checked
