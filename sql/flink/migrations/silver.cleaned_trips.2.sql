-- Grain: version 2 of lake.silver.cleaned_trips: the fee of 2025, and the coordinates of files without zones.
-- Rerun: the step applies it once, and notes the version in the table's properties; rows that are there have NULL.
-- The linter's Flink dialect does not support ADD with columns.
ALTER TABLE lake.silver.cleaned_trips ADD (  -- noqa: PRS
    cbd_congestion_fee_usd DECIMAL(10, 2) COMMENT 'Fee of the congestion relief zone, US dollars',
    pickup_longitude DOUBLE COMMENT 'Where the meter was engaged, degrees; files without zones',
    pickup_latitude DOUBLE COMMENT 'Where the meter was engaged, degrees; files without zones',
    dropoff_longitude DOUBLE COMMENT 'Where the meter was disengaged, degrees; files without zones',
    dropoff_latitude DOUBLE COMMENT 'Where the meter was disengaged, degrees; files without zones'
);
