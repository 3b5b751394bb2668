-- Grain: none; settings of one SQL Gateway session.
-- Rerun: every step opens a session of its own and sets them anew.
--
-- Pipelined exchanges take a third less time than blocking ones. A job is never restarted by Flink: Iceberg's
-- commit at the end of the input recognises its own repeats only from restored state. The step looks at the
-- table, and decides, before it submits again.
SET 'execution.runtime-mode' = 'batch';
SET 'execution.batch-shuffle-mode' = 'ALL_EXCHANGES_PIPELINED';
SET 'restart-strategy.type' = 'none';
SET 'table.dml-sync' = 'false';
SET 'table.local-time-zone' = 'UTC';
SET 'table.optimizer.reuse-optimize-block-with-digest-enabled' = 'true';
