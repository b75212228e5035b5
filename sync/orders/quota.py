"""What is left of a product: counted in one row each, changed by one statement that looks and takes at once.

The quota itself is the product's, read while the event's counter row is held (`Act.changing`), as whoever changes the
product holds it too; so no order is placed against a quota that was lowered meanwhile.
"""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, select, text

from admission.ids import EventId, ProductId
from sync.orders.tables import stock
from sync.tickets.minting import product_row
from sync.web.api import Refused

Sold = tuple[EventId, ProductId]

_BEGIN = text(
    "INSERT INTO stock (event_id, product, sold) VALUES (:event, :product, 0) "
    "ON CONFLICT (event_id, product) DO NOTHING"
)
_TAKE = text("UPDATE stock SET sold = sold + :count WHERE event_id = :event AND product = :product")
_TAKE_OF = text(
    "UPDATE stock SET sold = sold + :count "
    "WHERE event_id = :event AND product = :product AND sold + :count <= :quota"
)
_TAKE_PASS = text(
    "UPDATE pass_kind SET sold = sold + :count WHERE id = :kind AND (quota IS NULL OR sold + :count <= quota)"
)


def take(connection: Connection, wanted: Iterable[Sold]) -> None:
    """Take one of each product named, as often as it is named. Refused where there are not as many left."""
    for (event, product), count in sorted(Counter(wanted).items()):
        row = product_row(connection, event, product)
        values = {"event": event, "product": product, "count": count}
        connection.execute(_BEGIN, {"event": event, "product": product})
        if row.quota is None:
            connection.execute(_TAKE, values)
        elif not connection.execute(_TAKE_OF, {**values, "quota": row.quota}).rowcount:
            rest = max(row.quota - sold(connection, event, product), 0)
            raise Refused(
                409,
                "sold_out",
                f"Of {row.name} there are {rest} left, {count} are wanted. Take fewer, or raise its quota.",
                more={"event": event, "product": product, "left": rest},
            )


def give_back(connection: Connection, freed: Iterable[Sold]) -> None:
    """Give one of each product named back."""
    for (event, product), count in sorted(Counter(freed).items()):
        connection.execute(_TAKE, {"event": event, "product": product, "count": -count})


def take_passes(connection: Connection, kinds: Iterable[int]) -> None:
    """Take one pass of each kind named, as often as it is named. Refused where there are not as many left."""
    for kind, count in sorted(Counter(kinds).items()):
        if not connection.execute(_TAKE_PASS, {"kind": kind, "count": count}).rowcount:
            raise Refused(
                409, "sold_out", "There are not as many of this pass left. Take fewer, or raise its quota.",
                more={"pass_kind": kind},
            )  # fmt: skip


def give_back_passes(connection: Connection, kinds: Iterable[int]) -> None:
    """Give one pass of each kind named back."""
    for kind, count in sorted(Counter(kinds).items()):
        connection.execute(
            text("UPDATE pass_kind SET sold = sold - :count WHERE id = :kind"), {"kind": kind, "count": count}
        )


def sold(connection: Connection, event: EventId, product: ProductId) -> int:
    """Return how many of a product are taken: reserved, unpaid or paid."""
    s = stock.c
    return connection.execute(select(s.sold).where(s.event_id == event, s.product == product)).scalar() or 0
