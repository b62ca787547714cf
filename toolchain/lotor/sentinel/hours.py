"""Hours of the day, such as "22:00-07:00", local time."""

from datetime import datetime


def within(span: str, at: datetime) -> bool:
    """Return whether a local time lies in a span of hours, its end excluded; over midnight, too.

    A span that ends as it begins is the whole day.
    """
    begin, end = span.split("-")
    time = f"{at:%H:%M}"
    return begin <= time < end if begin < end else time >= begin or time < end
