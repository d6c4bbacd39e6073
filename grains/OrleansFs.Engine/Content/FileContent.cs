namespace OrleansFs.Engine.Content;

/// <summary>The part of a file that is newer than what is committed.</summary>
internal sealed class FileContent
{
}
