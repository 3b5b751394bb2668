"""The Node writer fulfils the workload contract."""

import pytest

from drayage.conform import Report

pytestmark = [pytest.mark.engine, pytest.mark.conformance("drayage/writer-node")]


def test_the_node_writer_keeps_the_contract(conformance: Report) -> None:
    conformance.must_hold()
