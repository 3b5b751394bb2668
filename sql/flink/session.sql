-- Grain: none; settings of one SQL Gateway session.
-- Rerun: every step opens its own session and applies them again.
--
-- Pipelined exchanges take a third less time than blocking ones. Flink never restarts a job, because Iceberg's commit
-- at the end of the input recognises its own repeats only from restored state. Before it submits again, the step looks
-- at the table and decides.
--
-- Generated code with more characters than max-length is parsed and split into methods, which takes up to half of
-- silver's planning. From a limit of some 30,000 on, a method has more bytecode than the JVM compiles.
SET 'execution.runtime-mode' = 'batch';
SET 'execution.batch-shuffle-mode' = 'ALL_EXCHANGES_PIPELINED';
SET 'restart-strategy.type' = 'none';
SET 'table.dml-sync' = 'false';
SET 'table.local-time-zone' = 'UTC';
SET 'table.optimizer.reuse-optimize-block-with-digest-enabled' = 'true';
SET 'table.generated-code.max-length' = '16000';
