import datetime

from scripts.reports import origin


def test_the_date_is_in_utc_and_the_command_can_be_typed_again() -> None:
    paris = datetime.timezone(datetime.timedelta(hours=2))
    command = origin.command("evaluate", ["--run=runs/my words", "--among=a,b"])
    assert origin.made(datetime.datetime(2026, 7, 1, 0, 30, tzinfo=paris), command) == [
        ("date", "2026-06-30 22:30 UTC"),
        ("command", "python -m scripts.evaluate '--run=runs/my words' --among=a,b"),
    ]
