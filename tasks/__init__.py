"""The only place where state (services, db) meets the world (providers, scrapers, media)."""
