"""The store for many processes: MySQL 8 or MariaDB 10.11. pool owns the sessions; only connection uses the driver."""
