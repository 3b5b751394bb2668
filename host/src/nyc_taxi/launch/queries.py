"""The GraphQL documents that the launcher sends.

*Source*: Dagster's GraphQL schema 1.13; ``LAUNCH`` is the mutation behind the UI's button.
"""

WORKSPACE = """
query Workspace {
  workspaceOrError {
    __typename
    ... on Workspace {
      locationEntries {
        name
        loadStatus
        locationOrLoadError {
          __typename
          ... on RepositoryLocation { name repositories { name pipelines { name } } }
          ... on PythonError { message className causes { message className } }
        }
      }
    }
    ... on PythonError { message }
  }
}
"""

JOB_ASSETS = """
query JobAssets($job: PipelineSelector!) {
  assetNodes(pipeline: $job) {
    assetKey { path }
    groupName
    opNames
    isPartitioned
  }
}
"""

LAUNCH = """
mutation LaunchPipelineExecution($executionParams: ExecutionParams!) {
  launchPipelineExecution(executionParams: $executionParams) {
    __typename
    ... on LaunchRunSuccess { run { id } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""

RUN = """
query Run($runId: ID!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      status
      tags { key value }
    }
    ... on Error { message }
  }
}
"""

PLAN = """
query Plan($runId: ID!) {
  runOrError(runId: $runId) {
    __typename
    ... on Run {
      executionPlan { steps { key inputs { dependsOn { key } } } }
      stepKeysToExecute
    }
    ... on Error { message }
  }
}
"""

EVENTS = """
query Events($runId: ID!, $afterCursor: String) {
  logsForRun(runId: $runId, afterCursor: $afterCursor, limit: 1000) {
    __typename
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on MessageEvent { message timestamp stepKey level }
        ... on ErrorEvent { error { ...Failure } }
        ... on ExecutionStepFailureEvent { failureMetadata { description } }
        ... on MaterializationEvent { assetKey { path } metadataEntries { ...Number } }
        ... on ObservationEvent { assetKey { path } metadataEntries { ...Number } }
        ... on AssetCheckEvaluationEvent {
          evaluation { checkName success severity description assetKey { path } }
        }
      }
    }
    ... on Error { message }
  }
}
fragment Failure on PythonError { message className causes { message className } }
fragment Number on MetadataEntry {
  label
  ... on IntMetadataEntry { intValue }
  ... on FloatMetadataEntry { floatValue }
  ... on TextMetadataEntry { text }
}
"""

RETRIES = """
query Retries($runId: String!) {
  runsOrError(filter: { tags: [{ key: "dagster/parent_run_id", value: $runId }] }, limit: 1) {
    __typename
    ... on Runs { results { id } }
    ... on Error { message }
  }
}
"""
