package relumen;

import ij.Macro;
import ij.macro.Interpreter;
import java.awt.GraphicsEnvironment;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** The options of a macro's line, such as "prior=prior-cells channels=[DNA=1 tubulin=none] preview". */
final class Options {
    private Options() {}

    /**
     * Reads them as ImageJ does.
     *
     * @return values by key, "true" for a word alone; null where no macro gave any, so that a dialog is to ask
     */
    static Map<String, String> ofMacro() {
        String line = Macro.getOptions();
        if (line == null) {
            return GraphicsEnvironment.isHeadless() ? new LinkedHashMap<>() : null;
        }
        return parsed(line);
    }

    /** Whether a macro or script called the command on this thread. */
    static boolean inMacro() {
        return Thread.currentThread().getName().startsWith("Run$_"); // as ImageJ itself tells it
    }

    static Map<String, String> parsed(String line) {
        Map<String, String> options = new LinkedHashMap<>();
        int at = 0;
        while (at < line.length()) {
            if (line.charAt(at) == ' ') {
                at++;
                continue;
            }
            int end = at;
            while (end < line.length() && line.charAt(end) != ' ' && line.charAt(end) != '=') {
                end++;
            }
            String key = line.substring(at, end).toLowerCase(Locale.US);
            if (end == line.length() || line.charAt(end) == ' ') {
                options.put(key, "true");
                at = end;
                continue;
            }
            at = endOfValue(line, end + 1);
            options.put(key, resolved(line.substring(end + 1, at)));
        }
        return options;
    }

    /** One past a value, which is quoted, in brackets, or goes to the next space. */
    private static int endOfValue(String line, int start) {
        char first = start < line.length() ? line.charAt(start) : ' ';
        int depth = 0;
        for (int at = start; at < line.length(); at++) {
            char c = line.charAt(at);
            if (first == '\'') {
                if (c == '\'' && at > start) {
                    return at + 1;
                }
            } else if (first == '[') {
                depth += c == '[' ? 1 : c == ']' ? -1 : 0;
                if (depth == 0) {
                    return at + 1;
                }
            } else if (c == ' ') {
                return at;
            }
        }
        return line.length();
    }

    private static String resolved(String value) {
        boolean wrapped = value.length() > 1 && (value.startsWith("[") && value.endsWith("]")
                || value.startsWith("'") && value.endsWith("'"));
        if (wrapped) {
            return value.substring(1, value.length() - 1);
        }
        Interpreter macro = Interpreter.getInstance();
        if (value.startsWith("&") && macro != null) { // a macro's variable
            String found = macro.getVariableAsString(value.substring(1));
            return found != null ? found.replaceFirst("\\.0$", "") : value; // its whole numbers end so
        }
        return value;
    }
}
