"""Count rows and report how many: replace this with your own work."""

from dagster_pipes import PipesContext, open_dagster_pipes


def main() -> None:
    """Open Pipes, do the work, and close Pipes, even after an error."""
    with open_dagster_pipes() as pipes:
        report(pipes)


def report(pipes: PipesContext) -> None:
    """Report the results, which must include every name that the host's entry promises."""
    # The context has the entry's `extras`, the partition, the run and the asset's key.
    rows = int(pipes.get_extra("rows"))
    partition = pipes.partition_key if pipes.is_partition_step else "none"
    pipes.log.info("%d rows, partition %s", rows, partition)
    pipes.report_asset_materialization(metadata={"rows": rows})


if __name__ == "__main__":
    main()
