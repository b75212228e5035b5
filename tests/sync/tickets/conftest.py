"""A box office on either engine."""

from tests.sync.orders.conftest import office

__all__ = ["office"]
