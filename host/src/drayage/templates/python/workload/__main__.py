"""Counts rows, and reports how many: put your own work in its place."""

from dagster_pipes import PipesContext, open_dagster_pipes


def main() -> None:
    """Open Pipes, do the work, report it, and close Pipes, also after an error."""
    with open_dagster_pipes() as pipes:
        report(pipes)


def report(pipes: PipesContext) -> None:
    """Report what was made. Every name that the host's entry promises must be there."""
    # What the entry's `extras` say arrives here, beside the partition, the run and the asset's key.
    rows = int(pipes.get_extra("rows"))
    partition = pipes.partition_key if pipes.is_partition_step else "none"
    pipes.log.info("%d rows, partition %s", rows, partition)
    pipes.report_asset_materialization(metadata={"rows": rows})


if __name__ == "__main__":
    main()
