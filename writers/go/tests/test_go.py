"""The Go writer fulfils the workload contract."""

import pytest

from drayage.conform import Report

pytestmark = [pytest.mark.engine, pytest.mark.conformance("drayage/writer-go")]


def test_the_go_writer_keeps_the_contract(conformance: Report) -> None:
    conformance.must_hold()
