"""Python with dagster-pipes fulfils the workload contract."""

import pytest

from drayage.conform import Report

pytestmark = [pytest.mark.engine, pytest.mark.conformance("drayage/writer-python")]


def test_dagster_pipes_keeps_the_contract(conformance: Report) -> None:
    conformance.must_hold()
