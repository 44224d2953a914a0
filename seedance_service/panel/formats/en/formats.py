"""Write dates and times as ISO 8601 does, to the second: "Nov. 29, 2026, 3 p.m." does not order by eye."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i:s"
TIME_FORMAT = "H:i:s"
