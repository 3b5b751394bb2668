-- Grain: version 2 of lake.silver.rejected_trips: the columns of all years, as bronze has them.
-- Rerun: the step applies it once, and notes the version in the table's properties; rows that are there have NULL.
-- The linter's Flink dialect does not support ADD with columns.
ALTER TABLE lake.silver.rejected_trips ADD (  -- noqa: PRS
    cbd_congestion_fee DOUBLE COMMENT 'As received; US dollars',
    vendor_name STRING COMMENT 'As received; the vendor as text, in files of 2009 to 2014',
    payment_name STRING COMMENT 'As received; the payment as text, in files of 2009 to 2014',
    pickup_longitude DOUBLE COMMENT 'As received; degrees, in files without zones',
    pickup_latitude DOUBLE COMMENT 'As received; degrees, in files without zones',
    dropoff_longitude DOUBLE COMMENT 'As received; degrees, in files without zones',
    dropoff_latitude DOUBLE COMMENT 'As received; degrees, in files without zones',
    unknown_columns MAP<STRING, STRING> COMMENT 'Values of columns that the generator does not know, as text',
    values_out_of_range MAP<STRING, STRING> COMMENT 'Values that their column cannot hold, as text; it is NULL there'
);
