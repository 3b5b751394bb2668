"""The pipeline's assets in the order of the data: kafka, lake, marts; and the lake's care."""
