-- Grain: version 2 of lake.silver.month_counts: the version of the month that was counted, and what it lacks.
-- Rerun: the step applies it once, and notes the version in the table's properties; rows that are there have NULL.
-- The linter's Flink dialect does not support ADD with columns.
ALTER TABLE lake.silver.month_counts ADD (  -- noqa: PRS
    superseded_rows BIGINT COMMENT 'Rows of other versions of the month, which silver does not keep',
    rounded_rows BIGINT COMMENT 'Cleaned rows with an amount that had more than two decimals',
    rows_without_vendor BIGINT COMMENT 'Cleaned rows whose vendor is unknown',
    `source` STRING COMMENT 'Kind of source of the version: tlc_file or synthetic',
    source_version STRING COMMENT 'The version: content and schema',
    source_name STRING COMMENT 'Name of the file, or seed and size of the synthetic month'
);
