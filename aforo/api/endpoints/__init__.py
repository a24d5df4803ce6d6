"""What the admin API says about tenancy itself; each app above brings endpoints of its own."""
