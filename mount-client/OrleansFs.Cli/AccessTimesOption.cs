using OrleansFs.Model;

namespace OrleansFs.Cli;

/// <summary>The words of <c>--atime</c>, which are those of mount(8).</summary>
internal static class AccessTimesOption
{
    private static readonly (string Word, AccessTimes Rule)[] s_words = [("relatime", AccessTimes.Relative), ("strictatime", AccessTimes.Strict), ("noatime", AccessTimes.Never)];

    public static bool TryParse(string word, out AccessTimes rule)
    {
        (string found, rule) = s_words.FirstOrDefault(w => w.Word == word);
        return found is not null;
    }

    public static string Word(AccessTimes rule) => s_words.First(w => w.Rule == rule).Word;
}
