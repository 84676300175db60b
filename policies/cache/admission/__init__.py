"""Who may enter: rules that stand before an eviction policy."""
