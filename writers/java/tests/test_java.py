"""The Java writer fulfils the workload contract."""

import pytest

from drayage.conform import Report

pytestmark = [pytest.mark.engine, pytest.mark.conformance("drayage/writer-java")]


def test_the_java_writer_keeps_the_contract(conformance: Report) -> None:
    conformance.must_hold()
