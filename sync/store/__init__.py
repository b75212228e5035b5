"""The centre's database: engine, transactions, migrations. Tables live with the capability that owns them."""
