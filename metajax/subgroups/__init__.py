"""Any score by sex, age band or site, with intervals, and the gap between groups (floor 2).

Patients are drawn with replacement, the same draws for all groups, so gaps know that a patient can
be in several. The gap is that of the groups with the highest and the lowest score; choosing these
two after the fact makes it look larger than it is, so its interval is simultaneous: it would hold
for all pairs of groups together. Groups too small for a score are listed, and said to be.
"""

from __future__ import annotations

from metajax.subgroups.groups import MISSING, bands, named
from metajax.subgroups.pages import markdown
from metajax.subgroups.scores import Gap, Line, Subgroups, by_group

__all__ = ("MISSING", "Gap", "Line", "Subgroups", "bands", "by_group", "markdown", "named")
