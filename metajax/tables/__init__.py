"""From the records of a suite to its tables (floor 6).

`load_runs` and `read_runs` read; `long_table`, `grids` and `compare` compute; `csv`, `markdown`,
`latex` and `suite_figures` write, `write` all of them; `write_page` what a suite makes itself.
"""

from metajax.tables.families import details_markdown, families_markdown, verdict
from metajax.tables.figures import suite_figures
from metajax.tables.files import FILES, made, published_lines, write, write_page
from metajax.tables.grids import Grid, Ranks, grids, overall
from metajax.tables.latex import latex, summary
from metajax.tables.layout import SHOWN
from metajax.tables.long import COLUMNS, PATIENTS, compare, csv, interval, long_table
from metajax.tables.markdown import headroom_markdown, markdown
from metajax.tables.records import Run, groups, load_runs, mixed_sources, read_runs, same_settings
from metajax.tables.scores import DRAWS, TaskScores, task_scores

__all__ = [
    "COLUMNS", "DRAWS", "FILES", "PATIENTS", "SHOWN", "Grid", "Ranks", "Run", "TaskScores",
    "compare", "csv", "details_markdown", "families_markdown", "grids", "groups",
    "headroom_markdown", "interval", "latex", "load_runs", "long_table", "made", "markdown",
    "mixed_sources", "overall", "published_lines", "read_runs", "same_settings", "suite_figures",
    "summary", "task_scores", "verdict", "write", "write_page",
]  # fmt: skip
