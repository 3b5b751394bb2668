import pytest

from flink_submit.root_cause import MAX_LENGTH, find_root_cause

RESTARTS = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
	at org.apache.flink.runtime.executiongraph.failover.Handler.handle(Handler.java:219)
	at java.base/java.lang.Thread.run(Unknown Source)
"""

REGISTRY = (
    RESTARTS
    + """\
Caused by: java.io.IOException: Failed to deserialize consumer record ConsumerRecord(topic = t).
	at org.apache.flink.connector.kafka.source.reader.deserializer.Wrapper.deserialize(Wrapper.java:59)
	... 14 more
Caused by: java.io.IOException: Could not find schema with id 7 in registry
	at org.apache.flink.formats.avro.registry.confluent.Coder.readSchema(Coder.java:94)
	... 9 more
Caused by: io.confluent.kafka.client.rest.exceptions.RestClientException: Schema 7 not found; error code: 40403
	at io.confluent.kafka.schemaregistry.client.rest.RestService.sendHttpRequest(RestService.java:314)
"""
)

SCHEDULER = """\
org.apache.flink.runtime.JobException: The failure is not recoverable
	at org.apache.flink.runtime.executiongraph.failover.Handler.handle(Handler.java:180)
Caused by: org.apache.flink.runtime.execution.SuppressRestartsException: Unrecoverable failure. \
This suppresses job restarts. \
Please check the stack trace for the root cause.
	... 34 more
Caused by: java.util.concurrent.CompletionException: java.lang.IllegalStateException
	at java.base/java.util.concurrent.CompletableFuture.encodeThrowable(Unknown Source)
	... 29 more
Caused by: java.lang.IllegalStateException
	at org.apache.flink.util.Preconditions.checkState(Preconditions.java:177)
	at org.apache.flink.runtime.scheduler.adapter.Topology.notifyUpdated(Topology.java:212)
"""

GATEWAY = """\
Internal server error.
org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to fetchResults.
	at org.apache.flink.table.gateway.rest.handler.FetchResultsHandler.handle(FetchResultsHandler.java:91)
Caused by: org.apache.flink.table.gateway.service.utils.SqlExecutionException: Failed to execute the operation e1d0.
	at org.apache.flink.table.gateway.service.operation.OperationManager.run(OperationManager.java:416)
Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed. \
From line 3, column 5 to line 3, column 9: Column 'fare' not found in any table
	at org.apache.flink.table.planner.calcite.FlinkPlannerImpl.validate(FlinkPlannerImpl.scala:187)
Caused by: org.apache.calcite.runtime.CalciteContextException: From line 3, column 5 to line 3, column 9: \
Column 'fare' not found in any table
	at java.base/jdk.internal.reflect.Accessor.newInstance(Unknown Source)
"""

SUPPRESSED = (
    RESTARTS
    + """\
Caused by: software.amazon.awssdk.core.exception.SdkClientException: \
Unable to execute HTTP request: Connect to minio:9000 failed
	at software.amazon.awssdk.core.exception.SdkClientException$BuilderImpl.build(SdkClientException.java:130)
	Suppressed: software.amazon.awssdk.core.exception.SdkClientException: Request attempt 1 failure
Caused by: java.net.UnknownHostException: minio
	at java.base/java.net.InetAddress$CachedLookup.get(Unknown Source)
"""
)


@pytest.mark.parametrize(
    ("stack_trace", "expected"),
    [
        pytest.param(
            REGISTRY,
            "RestClientException: Schema 7 not found; error code: 40403 "
            "(in: IOException: Could not find schema with id 7 in registry)",
            id="the innermost cause and the one around it",
        ),
        pytest.param(
            SCHEDULER,
            "IllegalStateException at Topology.notifyUpdated (Topology.java:212)",
            id="the place if the innermost cause has no message",
        ),
        pytest.param(
            GATEWAY,
            "ValidationException: SQL validation failed. From line 3, column 5 to line 3, column 9: "
            "Column 'fare' not found in any table",
            id="the longer of two with the same message",
        ),
        pytest.param(
            SUPPRESSED,
            "UnknownHostException: minio "
            "(in: SdkClientException: Unable to execute HTTP request: Connect to minio:9000 failed)",
            id="the real cause, not a suppressed one",
        ),
        pytest.param(
            "Job execution   failed\nfor no reason", "Job execution failed for no reason", id="no Java at all"
        ),
        pytest.param("", "Flink gave no reason", id="nothing"),
        pytest.param(
            "java.lang.RuntimeException: first line\nsecond line\n\tat a.B.c(B.java:1)",
            "RuntimeException: first line second line",
            id="a message of two lines",
        ),
    ],
)
def test_names_what_went_wrong_in_one_line(stack_trace: str, expected: str) -> None:
    """A stack trace in the UI does not help to decide what to do."""
    assert find_root_cause(stack_trace) == expected


def test_stays_short() -> None:
    """Deserialization errors quote the whole record."""
    cause = find_root_cause(f"java.lang.RuntimeException: {'x' * 5000}")
    assert len(cause) == MAX_LENGTH
    assert cause.endswith("…")
