-- fct_trips: the fee of the congestion relief zone (2025 on), and the coordinates of files without zones (to 2016).
alter table core.fct_trips add column cbd_congestion_fee_usd decimal(10, 2);
alter table core.fct_trips add column pickup_longitude double;
alter table core.fct_trips add column pickup_latitude double;
alter table core.fct_trips add column dropoff_longitude double;
alter table core.fct_trips add column dropoff_latitude double;
