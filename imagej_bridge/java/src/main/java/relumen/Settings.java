package relumen;

import ij.Prefs;

/** What is remembered from one use to the next, in ImageJ's preferences, and limits of patience. */
final class Settings {
    static final String DEFAULT_SERVER = "http://127.0.0.1:8765";
    private static final String PREFIX = "relumen.";

    private Settings() {}

    static String get(String key, String otherwise) {
        return Prefs.get(PREFIX + key, otherwise);
    }

    static void set(String key, String value) {
        Prefs.set(PREFIX + key, value);
    }

    static String server() {
        return get("server", DEFAULT_SERVER);
    }

    /** A server's address without what doesn't matter. */
    static String plain(String address) {
        return address.trim().replaceAll("/+$", "");
    }

    /** What a server is told; never an option of a macro, which people hand on. */
    static String token(String address) {
        String own = System.getenv("RELUMEN_TOKEN");
        if (own != null) {
            return own;
        }
        boolean itsOwn = plain(address).equals(get("token_for", "")); // a stranger's macro may name another server
        return itsOwn ? get("token", "") : "";
    }

    static void setToken(String address, String token) {
        set("token_for", plain(address));
        set("token", token);
    }

    /** How long a server that no longer answers is waited for. */
    static long goneMs() {
        return Long.getLong("relumen.gone_ms", 30_000);
    }

    /** How long a server that has too much to do is asked again. */
    static long busyMs() {
        return Long.getLong("relumen.busy_ms", 60_000);
    }
}
