"""What a town can show: the monthly report of published figures."""
