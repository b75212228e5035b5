"""All bugs that are planted, by name."""

from tests.sim.bugs_of_bands import BUGS_OF_BANDS
from tests.sim.bugs_of_evenings import BUGS_OF_EVENINGS
from tests.sim.bugs_of_gates import BUGS_OF_GATES
from tests.sim.bugs_of_nights import BUGS_OF_NIGHTS
from tests.sim.bugs_of_plans import BUGS_OF_PLANS
from tests.sim.bugs_of_rules import BUGS_OF_RULES
from tests.sim.planted import Bug

BUGS: dict[str, Bug] = (
    BUGS_OF_GATES | BUGS_OF_RULES | BUGS_OF_EVENINGS | BUGS_OF_PLANS | BUGS_OF_BANDS | BUGS_OF_NIGHTS
)
