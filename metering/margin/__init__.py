"""What serving customers leaves of what they pay: costs, margins, and who guards them."""
