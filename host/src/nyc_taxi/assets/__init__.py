"""The pipeline's assets in the order of the data: kafka, lake, marts, their audit; and the lake's care."""
