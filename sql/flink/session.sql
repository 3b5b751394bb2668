-- Grain: none; settings of one SQL Gateway session.
-- Rerun: every step opens a session of its own and sets them anew.
--
-- Pipelined exchanges take a third less time than blocking ones. A job is never restarted by Flink: Iceberg's
-- commit at the end of the input recognises its own repeats only from restored state. The step looks at the
-- table, and decides, before it submits again.
--
-- Generated code longer than this many characters is parsed and cut into methods, which takes up to half of silver's
-- planning. Left whole from some 30,000 on, a method has more bytecode than the JVM compiles.
SET 'execution.runtime-mode' = 'batch';
SET 'execution.batch-shuffle-mode' = 'ALL_EXCHANGES_PIPELINED';
SET 'restart-strategy.type' = 'none';
SET 'table.dml-sync' = 'false';
SET 'table.local-time-zone' = 'UTC';
SET 'table.optimizer.reuse-optimize-block-with-digest-enabled' = 'true';
SET 'table.generated-code.max-length' = '16000';
