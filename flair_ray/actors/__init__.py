"""What lives on the cluster between calls, as plain classes: ``engine`` makes actors of them."""
