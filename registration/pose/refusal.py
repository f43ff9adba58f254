"""Refusal of two slides that do not show the same tissue, in one line."""

from dataclasses import dataclass

from regdata.errors import RegdataError
from regdata.registration.pose.similarity import Likeness
from regdata.slides import Slide


@dataclass(frozen=True)
class Limits:
    """What two slides must reach to be taken for the same tissue.

    Attributes
    ----------
    z
        Standard deviations above chance of their correlation.
    margin
        Times the score of the best pose with the other mirror state.
    correlation
        What is correlated, for the message.
    mend
        What to check, for the message.
    """

    z: float
    margin: float
    correlation: str
    mend: str

    def check(self, he: Slide, if_: Slide, likeness: Likeness, margin: float) -> None:
        """Refuse two slides whose likeness or margin is too low.

        Raises
        ------
        RegdataError
            The likeness or the margin is too low; the message gives both numbers.
        """
        at_best = f"{self.correlation} {likeness.correlation:.2f} at the best pose"
        if likeness.z < self.z:
            chance = f"{likeness.z:.1f} standard deviations above chance, {self.z:g} needed"
            raise self.unlike(he, if_, f"{at_best} ({likeness.at_z(self.z):.2f} needed; {chance})")
        if margin < self.margin:
            mirrored = f"{margin:.2f} times better than mirrored, {self.margin:g} needed"
            raise self.unlike(he, if_, f"{at_best}, but only {mirrored}")

    def unlike(self, he: Slide, if_: Slide, why: str) -> RegdataError:
        """The error that says why two slides do not show the same tissue."""
        return RegdataError(
            f"{he.path} and {if_.path} do not look like the same tissue: {why}; check the files, "
            f"their pixel sizes and {self.mend}"
        )
