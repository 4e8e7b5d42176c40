"""Which columns of which assets a table's columns are made of, for the UI to draw."""

from collections.abc import Iterable, Mapping

import dagster as dg


def column_lineage(sources: Mapping[str, Iterable[str]]) -> dict[str, dg.TableColumnLineage]:
    """A materialization's metadata; `sources`: by column, those that it comes from, each as `asset.column`."""
    return {
        "dagster/column_lineage": dg.TableColumnLineage(
            {
                column: [
                    dg.TableColumnDep(asset_key=asset, column_name=name)
                    for asset, _, name in (source.partition(".") for source in of)
                ]
                for column, of in sources.items()
            }
        )
    }
