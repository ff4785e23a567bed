"""The store for many processes: MySQL 8 or MariaDB 10.11. The pool owns the sessions; connection knows the driver."""
