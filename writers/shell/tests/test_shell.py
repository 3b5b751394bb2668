"""The shell writer fulfils the workload contract."""

import pytest

from drayage.conform import Report

pytestmark = [pytest.mark.engine, pytest.mark.conformance("drayage/writer-shell")]


def test_the_shell_writer_keeps_the_contract(conformance: Report) -> None:
    conformance.must_hold()
