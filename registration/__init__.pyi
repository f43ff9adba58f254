from .nuclear_channel import better_channel, registrable_channel
from .registration import Registration, register
from .runs import (
    Judged,
    Method,
    SlidePair,
    best_of,
    check_verdict,
    judge_given,
    judge_tiles,
    run,
    write_comparison,
    write_report,
)
from .serial import register_serial
from .tre import RegistrationError, target_registration_error

__all__ = [
    "Judged",
    "Method",
    "Registration",
    "RegistrationError",
    "SlidePair",
    "best_of",
    "better_channel",
    "check_verdict",
    "judge_given",
    "judge_tiles",
    "register",
    "register_serial",
    "registrable_channel",
    "run",
    "target_registration_error",
    "write_comparison",
    "write_report",
]
