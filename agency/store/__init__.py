"""The store: what the agency keeps, in a relational database (the only import of SQLAlchemy)."""
